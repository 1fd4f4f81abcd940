"""The REST interface: what can be asked and done under ``/api/v1``. No pickle is opened here."""
