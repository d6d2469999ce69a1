"""Results as files: archives of maps, CSV and JSON tables, figures, Parquet tables of folders, plain-data reports."""
