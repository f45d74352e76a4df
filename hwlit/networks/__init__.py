"""Networks: plain modules and how to obtain them."""
