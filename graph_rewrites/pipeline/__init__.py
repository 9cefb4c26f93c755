"""The three steps of `rewrite`, which pass frozen values: plan, attach, publish."""
