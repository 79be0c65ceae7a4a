"""MariaDB and MySQL as two flavours of one engine."""
