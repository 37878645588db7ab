"""The report page `results/report/index.html`: what it is told, the parts it is made of, and its template."""
