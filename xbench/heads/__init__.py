"""Shared building blocks of heads; the heads themselves come from plugins."""
