"""The pages, one module a noun. Every page needs a login and a permission; lists come from selectors."""
