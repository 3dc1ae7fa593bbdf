"""The report: from plain numbers and pictures to figures, tables and one HTML page.

This room only draws and knows nothing of models. Matplotlib and pillow are loaded here and nowhere else, so import the
module you need (``from elt_ref.report.samples import draw_samples``).

* ``results``: the fields of a row of results, its checks, and the format of its numbers
* ``pictures``: float pictures to pixels, enlarged without smoothing
* ``clips``: clips as animated pictures, contact sheets and film strips
* ``samples``, ``trajectory``, ``elasticity``, ``loss_curves``: one figure each
* ``table``: the same results in a terminal, and sentences computed from them
* ``page``, ``captions``: one self-contained HTML file, and its words
* ``figure``, ``sheet``, ``markup``: how figures, pixel layouts and HTML are made
"""
