"""The pages' addresses."""

from django.urls import path

from control.web.views import (
    approvals,
    audit,
    backtests,
    dash_pages,
    datasets,
    deployments,
    home,
    nodes,
    status,
    strategies,
    theme,
    versions,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("theme.css", theme.theme_css, name="theme-css"),
    path("mark.svg", theme.mark, name="mark"),
    path("status.json", status.status, name="status"),
    path("strategies/", strategies.strategy_list, name="strategy-list"),
    path("strategies/new/", strategies.strategy_new, name="strategy-new"),
    path("strategies/<int:pk>/", strategies.strategy_detail, name="strategy-detail"),
    path("strategies/<int:pk>/versions/new/", versions.version_new, name="version-new"),
    path("versions/<uuid:pk>/", versions.version_detail, name="version-detail"),
    path("versions/<uuid:pk>/submit/", versions.version_submit, name="version-submit"),
    path("versions/<uuid:pk>/withdraw/", versions.version_withdraw, name="version-withdraw"),
    path("versions/<uuid:pk>/retire/", versions.version_retire, name="version-retire"),
    path("versions/<uuid:pk>/backtest/", versions.version_backtest, name="version-backtest"),
    path("versions/<uuid:pk>/<str:decision>/", versions.version_decide, name="version-decide"),
    path("approvals/", approvals.approval_list, name="approval-list"),
    path("backtests/", backtests.backtest_list, name="backtest-list"),
    path("backtests/<uuid:pk>/", backtests.backtest_detail, name="backtest-detail"),
    path("backtests/<uuid:pk>/status.json", backtests.backtest_status, name="backtest-status"),
    path("backtests/<uuid:pk>/cancel/", backtests.backtest_cancel, name="backtest-cancel"),
    path("deployments/", deployments.deployment_list, name="deployment-list"),
    path("deployments/<uuid:pk>/", deployments.deployment_detail, name="deployment-detail"),
    path("deployments/<uuid:pk>/<str:command>/", deployments.deployment_command, name="deployment-command"),
    path("nodes/", nodes.node_list, name="node-list"),
    path("datasets/", datasets.dataset_list, name="dataset-list"),
    path("audit/", audit.audit_list, name="audit-list"),
    path("dash/<str:name>/<uuid:pk>/", dash_pages.dash_page, name="dash-page"),
    path("dash/<str:name>/<uuid:pk>/<path:rest>", dash_pages.dash_call, name="dash-call"),
    path("dash/_dash-component-suites/<path:rest>", dash_pages.dash_suite, name="dash-suite"),
]
