"""Wall times of training, loading and predicting, beside GluonTS's own, as ratios of one run."""
