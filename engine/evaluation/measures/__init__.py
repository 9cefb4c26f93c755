"""What measures one map: boxes, pointing, perturbation, removal, rank correlation."""
