"""Results as files: archives of maps, figures, folders of photos, Parquet tables, the report of a prediction."""
