"""The report: one HTML file that needs no network.

chapter: what a chapter of the report is.
network: the layers of the network, for the page.
page: renders chapters and the scores of a run into report.html.
"""

from wardrobe.report.chapter import Chapter, Findings
from wardrobe.report.page import load_template, write_report

__all__ = ["Chapter", "Findings", "load_template", "write_report"]
