"""How our HTML pages begin: jinja2, with the variable `title`; more rules of style and `</style>` follow."""

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>{{ title }}</title><style>
body{font:14px/1.45 system-ui,sans-serif;margin:1.5rem;color:#1b1f24;max-width:75rem}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #e3e6ea}
"""
