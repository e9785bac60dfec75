"""Every write about desks. Who sits on one is set with the user: ``accounts.services.user_set_desks``."""

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from control.accounts.models import User
from control.accounts.permissions import require
from control.audit.services import record
from control.desks.models import Desk
from control.errors import Conflict, InvalidInput


@transaction.atomic
def desk_create(*, actor: User, name: str) -> Desk:
    """A new desk; its slug comes from its name. Raises ``InvalidInput``, ``Conflict`` (name taken)."""
    require(actor, "desks.manage_desk")
    name = name.strip()
    slug = slugify(name)
    if not slug or len(name) > 80:
        raise InvalidInput("name", "name", "A desk has a name of 1 to 80 characters, with a letter or a digit.")
    try:
        with transaction.atomic():
            desk = Desk.objects.create(name=name, slug=slug)
    except IntegrityError as error:
        raise Conflict("name_taken", "name", f"There is already a desk {name}.") from error
    record(actor=actor, action="desk.create", target=desk, detail={"name": name}, desk=desk)
    return desk
