"""The report: plain numbers and pictures in, figures, tables and one HTML page out.

The room only draws. It knows nothing of models, and nothing else of the package needs it, so matplotlib and pillow
are loaded here and nowhere else; import the module you need (``from elt_ref.report.samples import draw_samples``).

* ``results``: what a row of results holds, how it is checked, and how its numbers are written
* ``pictures``: float pictures to pixels, enlarged without smoothing
* ``clips``: clips as animated pictures, contact sheets and film strips
* ``samples``, ``trajectory``, ``elasticity``, ``loss_curves``: one figure each
* ``table``: the same results in a terminal, and sentences computed from them
* ``page``, ``captions``: everything in one self-contained HTML file, and its words
* ``figure``, ``sheet``, ``markup``: how figures, pixel layouts and HTML are made
"""
