"""The Celery application. Tasks stand in each app's ``tasks.py``; what is periodic is listed here.

Redis may deliver a task twice, so no task trusts its delivery: the row in PostgreSQL is the truth.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control.settings")

app = Celery("control")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# A tick that waited longer than its period is dropped: the next one does its work.
app.conf.beat_schedule = {
    "seal-audit-trail": {
        "task": "control.audit.tasks.seal",
        "schedule": 1.0,
        "options": {"expires": 5},
    },
    "advance-studies": {
        "task": "control.backtests.tasks.advance_studies",
        "schedule": 3.0,
        "options": {"expires": 3},
    },
    "requeue-lost-backtests": {
        "task": "control.backtests.tasks.requeue",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
}
