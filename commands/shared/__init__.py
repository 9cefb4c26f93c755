"""What commands share: options, and what they print."""
