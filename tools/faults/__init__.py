"""Campaigns that stop runs in every way and count what is lost."""
