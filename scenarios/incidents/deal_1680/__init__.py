"""Deal 1680, 2025-12-15: two Checkout Sessions for one rest payment, 85 seconds apart."""
