"""Pages of PDF files as pictures, and where on them a quote stands."""
