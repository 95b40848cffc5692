def feedback_html(report, title, out):
    return ""
