"""The SKUs that there are, found by a part of their code or of their name."""

from __future__ import annotations

from typing import Any

from forecast_platform.api.reading.base import records
from forecast_platform.io_managers.warehouse import Session

# What begins with the text stands before what has it somewhere inside, and the code before the name.
FOUND = """
    with named as (
      select distinct on (sku) sku, name, category from items where name is not null order by sku, valid_from desc
    ), known as (
      select s.sku, n.name, n.category, s.locations, lower(s.sku) as code, lower(coalesce(n.name, '')) as words
      from (select sku, count(*) as locations from series group by sku) s left join named n on n.sku = s.sku
    )
    select sku, name, category, locations from known
    where strpos(code, :text) > 0 or strpos(words, :text) > 0
    order by case when code = :text then 0 when strpos(code, :text) = 1 then 1 when strpos(words, :text) = 1 then 2
      else 3 end, sku
    limit :most
"""


def matching(session: Session, text: str, *, most: int) -> list[dict[str, Any]]:
    """SKUs that have ``text`` in their code or name, whatever its case, the best matches first."""
    return records(session, FOUND, {"text": text.strip().lower(), "most": most})
