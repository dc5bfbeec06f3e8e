"""One request and its response without I/O: identify, admit, entitle, count, screen, record."""
