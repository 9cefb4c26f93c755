"""Results as records, tables and journals; arguments given as text."""
