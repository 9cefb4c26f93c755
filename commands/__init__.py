"""The commands of the command line, one a file: they parse options, call the engine and print."""
