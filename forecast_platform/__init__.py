"""A demand-forecasting data platform: facts, immutable forecasts and the errors of every one of them."""
