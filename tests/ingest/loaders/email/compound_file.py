"""Makes messages as Outlook saves them: compound files, which no library at hand can write."""

from __future__ import annotations

import struct

_SECTOR, _SMALL_SECTOR = 512, 64
_SMALL = 4096  # bytes; shorter streams lie in small sectors
_END, _FREE, _TABLE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
Tree = dict[str, "bytes | Tree"]  # a name with bytes is a stream, with another tree a storage


class _Sectors:
    """Chains of sectors: the data, and for each sector the number of the next."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = b""
        self.table: list[int] = []

    def place(self, content: bytes) -> int:
        """Appends `content`; gives the number of its first sector."""
        if not content:
            return _END
        first, count = len(self.table), -(-len(content) // self.size)
        self.table += [*range(first + 1, first + count), _END]
        self.data += content.ljust(count * self.size, b"\0")
        return first


def compound_file(tree: Tree) -> bytes:
    """The file with these streams and storages."""
    entries: list[list] = [["Root Entry", 5, _FREE, _FREE, b""]]  # name, kind, next, first inside, data

    def add(parent: int, content: Tree) -> None:
        last = None
        for name, value in content.items():
            number = len(entries)
            is_stream = isinstance(value, bytes)
            entries.append([name, 2 if is_stream else 1, _FREE, _FREE, value if is_stream else b""])
            if last is None:
                entries[parent][3] = number
            else:
                entries[last][2] = number
            last = number
            if not is_stream:
                add(number, value)

    add(0, tree)
    large, small = _Sectors(_SECTOR), _Sectors(_SMALL_SECTOR)
    starts = [(small if len(entry[4]) < _SMALL else large).place(entry[4]) for entry in entries]
    starts[0] = large.place(small.data)
    entries[0][4] = small.data
    small_table = large.place(struct.pack(f"<{len(small.table)}I", *small.table).ljust(_SECTOR, b"\xff"))
    directory = large.place(
        b"".join(
            (name.encode("utf-16-le") + b"\0\0").ljust(64, b"\0")
            + struct.pack("<HBBIII", 2 * len(name) + 2, kind, 1, _FREE, following, inside)
            + bytes(36)
            + struct.pack("<IQ", start, len(data))
            for (name, kind, following, inside, data), start in zip(entries, starts, strict=True)
        )
    )
    first, blocks = len(large.table), len(large.table) // 126 + 1
    table = [*large.table, *[_TABLE] * blocks]
    table += [_FREE] * (blocks * 128 - len(table))
    return (
        bytes.fromhex("d0cf11e0a1b11ae1")
        + bytes(16)
        + struct.pack("<6H", 0x3E, 3, 0xFFFE, 9, 6, 0)
        + struct.pack("<10I", 0, 0, blocks, directory, 0, _SMALL, small_table, 1, _END, 0)
        + struct.pack(f"<{blocks}I", *range(first, first + blocks)).ljust(436, b"\xff")
        + large.data
        + struct.pack(f"<{len(table)}I", *table)
    )


def message(texts: dict[int, str | bytes], numbers: dict[int, int] | None = None, *, header: int = 32) -> Tree:
    """A message (with a `header` of 8 bytes: a recipient or attachment): properties by their numbers."""
    table = bytes(header)
    for number, value in (numbers or {}).items():
        table += struct.pack("<HHIQ", 0x0040 if value >= 1 << 32 else 0x0003, number, 6, value)
    tree: Tree = {"__properties_version1.0": table}
    for number, text in texts.items():
        kind = "0102" if isinstance(text, bytes) else "001F"
        tree[f"__substg1.0_{number:04X}{kind}"] = text if isinstance(text, bytes) else text.encode("utf-16-le")
    return tree
