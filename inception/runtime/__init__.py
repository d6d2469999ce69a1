"""What a process needs of its machine: device, threads, memory, files, terminal, signals."""
