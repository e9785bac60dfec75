"""Administration of users: create, role, desks, activity, password, each through its service."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import password_validators_help_text_html, validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectMultipleWidget

from control.accounts import services
from control.accounts.models import User
from control.accounts.selectors import users_visible_to
from control.administration import ServiceAdmin
from control.desks.models import Desk

# The roles' groups are filled from accounts/roles.py; changing them here would last until the next migrate.
admin.site.unregister(Group)


class UserForm(forms.ModelForm):
    """Role, desks, activity, and a password: required for a new user, empty to keep the old one."""

    desks = forms.ModelMultipleChoiceField(
        queryset=Desk.objects.all(), required=False, widget=UnfoldAdminSelectMultipleWidget
    )
    new_password = forms.CharField(
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html(),
    )

    class Meta:
        model = User
        fields = ["username", "role"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["desks"].initial = self.instance.desks.all()
        else:
            self.fields["new_password"].required = True

    def clean_new_password(self) -> str:
        password = self.cleaned_data["new_password"]
        if password:
            validate_password(password, User(username=self.cleaned_data.get("username", "")))
        return password

    def clean_username(self) -> str:
        username = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exclude(pk=self.instance.pk).exists():
            raise ValidationError(f"There is already a user {username}.")
        return username


@admin.register(User)
class UserAdmin(ServiceAdmin):
    form = UserForm
    visible_to = staticmethod(users_visible_to)
    list_display = ["username", "role", "seats", "is_active", "last_login"]
    list_filter = ["role", "is_active"]
    search_fields = ["username"]
    ordering = ["username"]
    actions = ["activate", "deactivate"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "manage_user")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self.allows(request, "manage_user")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        return ["username"] if obj else []

    def get_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        return ["username", "role", "desks", "new_password"]

    @admin.display(description="desks")
    def seats(self, user: User) -> str:
        return ", ".join(desk.name for desk in user.desks.all())

    def save_model(self, request: HttpRequest, obj: User, form: UserForm, change: bool) -> None:
        """Calls the service of each thing that changed; the model itself is not saved here."""
        wanted = form.cleaned_data
        if not change:
            created = services.user_create(
                actor=request.user,
                username=wanted["username"],
                role=wanted["role"],
                desks=wanted["desks"],
                password=wanted["new_password"],
            )
            obj.pk = created.pk
            return
        stored = User.objects.get(pk=obj.pk)
        if wanted["role"] != stored.role:
            services.user_set_role(actor=request.user, user=stored, role=wanted["role"])
        if set(wanted["desks"]) != set(stored.desks.all()):
            services.user_set_desks(actor=request.user, user=stored, desks=wanted["desks"])
        if wanted["new_password"]:
            services.user_set_password(actor=request.user, user=stored, password=wanted["new_password"])

    def save_related(self, request: HttpRequest, form: UserForm, formsets: list[Any], change: bool) -> None:
        """Desks were set by the service."""

    @admin.action(description="Let the selected sign in", permissions=["change"])
    def activate(self, request: HttpRequest, rows: Any) -> None:
        self._set_active(request, rows, True, "may sign in")

    @admin.action(description="No longer let the selected sign in", permissions=["change"])
    def deactivate(self, request: HttpRequest, rows: Any) -> None:
        self._set_active(request, rows, False, "may no longer sign in")

    def _set_active(self, request: HttpRequest, rows: Any, active: bool, done: str) -> None:
        def call(user: User) -> object:
            return services.user_set_active(actor=request.user, user=user, active=active)

        self.call_for_each(request, rows, call, done)
