"""Alembic migrations, one folder per schema; they are packaged with the wheel and run at start."""
