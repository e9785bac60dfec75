"""Dashboards: the figures' pages (Dash), their theme and number formats, and the bridge into Django.

Pages read through control's selectors only and never write.
"""
