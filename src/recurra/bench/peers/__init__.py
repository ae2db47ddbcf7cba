"""What our layers are measured against: the same recurrences as others would run them."""
