"""From forecasts to stock: how much may be asked for until a delivery, and so what to order. Arrays in, arrays out.

Pure: no Dagster, no database, no clock. Where the numbers come from and where they are kept is in ``assets``.
"""
