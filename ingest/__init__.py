"""The write side of Footnote: files in, index out."""
