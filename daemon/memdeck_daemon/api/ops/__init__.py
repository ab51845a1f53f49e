"""Operations routes, one file per noun."""
