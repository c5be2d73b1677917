"""The report: one offline page with question, data, method, tables and figures, and the tables as LaTeX."""

from segsrgan_study.report.page import build_report
from segsrgan_study.report.run import write_run

__all__ = ["build_report", "write_run"]
