"""What every axis of every tensor is, traced from the inputs through the operators; unknown where no rule tells."""
