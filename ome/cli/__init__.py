"""The command line: `ome` and `ome-admin`. A command parses, calls one library function and prints."""
