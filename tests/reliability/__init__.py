"""The storage under faults: what is damaged on the disk is noticed, told, and made again."""
