"""Numbers as people read them; programs get the numbers themselves."""


def duration(seconds: float) -> str:
    """Spell seconds as 12s, 3m05s or 2h07m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def short(number: float) -> str:
    """Spell a count with three digits: 512, 1.72k, 34.2M, 30.7G."""
    for unit in ("", "k", "M"):
        if abs(number) < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"
