"""Shared by the commands: options, output and lazy loading."""
