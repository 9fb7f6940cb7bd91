"""What hypothesis draws for the tests of the tasks."""

from hypothesis import strategies as st

from keras_paligemma.tasks import Box
from keras_paligemma.tasks import Mask
from keras_paligemma.tasks.labels import check_label


def is_label(text):
    try:
        return bool(check_label(text))
    except ValueError:
        return False


WORDS = ["cat", "a;b", "x; y", "U.S. flag", "3 dogs", "<", "é", "猫", "a ;b"]
labels = st.one_of(
    st.sampled_from(WORDS),
    st.text(max_size=12).map(str.strip).filter(is_label),
)
coordinates = st.floats(0, 1)


@st.composite
def boxes(draw, labels=labels):
    ymin, ymax = sorted([draw(coordinates), draw(coordinates)])
    xmin, xmax = sorted([draw(coordinates), draw(coordinates)])
    return Box(ymin, xmin, ymax, xmax, draw(labels))


@st.composite
def masks(draw, labels=labels):
    codes = st.lists(st.integers(0, 127), min_size=16, max_size=16)
    return Mask(draw(boxes(labels)), draw(codes))
