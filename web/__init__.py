"""The page: static files that the gateway serves, here as a package so that they ship with it.

There is no Python in it. `index.html`, `style.css` and `src/*.js` are served as they lie.
"""
