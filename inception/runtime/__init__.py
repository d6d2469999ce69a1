"""The process and its machine: device, threads, memory, files, terminal, signals, strict JSON and plain text."""
