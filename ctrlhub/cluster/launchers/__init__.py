"""Launchers: how engines are started where the user's cores are, behind one small interface."""
