"""Types, shapes and constant values before run time, on protobufs."""
