"""The host side of Cowslip: what the command `cowslip` is made of."""
