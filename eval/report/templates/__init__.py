"""The templates of the page, as data."""
