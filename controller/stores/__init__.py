"""Stores: where accepted requests and results live until their client has them."""
