"""What each language calls the kinds and colours, and how it asks about them.

Nouns are rows `kind singular plural gender`, in the order of `KINDS`; `~`
stands for a space inside a name. Colours are rows of their forms.
"""

_NOUNS = {
    "en": """
        circle circles -, square squares -, triangle triangles -,
        star stars -, heart hearts -, ring rings -, cross crosses -,
        moon moons -, arrow arrows -, hexagon hexagons -,
        diamond diamonds -, house houses -, tree trees -, fish fish -,
        cup cups -, car cars -, cat cats -, flower flowers -,
        cloud clouds -, lightning~bolt lightning~bolts -, key keys -,
        boat boats -, mushroom mushrooms -, umbrella umbrellas -,
        crown crowns -, leaf leaves -, bell bells -, drop drops -""",
    "de": """
        Kreis Kreise m, Quadrat Quadrate n, Dreieck Dreiecke n,
        Stern Sterne m, Herz Herzen n, Ring Ringe m, Kreuz Kreuze n,
        Mond Monde m, Pfeil Pfeile m, Sechseck Sechsecke n,
        Raute Rauten f, Haus Häuser n, Baum Bäume m, Fisch Fische m,
        Tasse Tassen f, Auto Autos n, Katze Katzen f, Blume Blumen f,
        Wolke Wolken f, Blitz Blitze m, Schlüssel Schlüssel m,
        Boot Boote n, Pilz Pilze m, Regenschirm Regenschirme m,
        Krone Kronen f, Blatt Blätter n, Glocke Glocken f,
        Tropfen Tropfen m""",
    "fr": """
        cercle cercles m, carré carrés m, triangle triangles m,
        étoile étoiles f, cœur cœurs m, anneau anneaux m, croix croix f,
        lune lunes f, flèche flèches f, hexagone hexagones m,
        losange losanges m, maison maisons f, arbre arbres m,
        poisson poissons m, tasse tasses f, voiture voitures f,
        chat chats m, fleur fleurs f, nuage nuages m, éclair éclairs m,
        clé clés f, bateau bateaux m, champignon champignons m,
        parapluie parapluies m, couronne couronnes f, feuille feuilles f,
        cloche cloches f, goutte gouttes f""",
    "es": """
        círculo círculos m, cuadrado cuadrados m, triángulo triángulos m,
        estrella estrellas f, corazón corazones m, anillo anillos m,
        cruz cruces f, luna lunas f, flecha flechas f,
        hexágono hexágonos m, rombo rombos m, casa casas f,
        árbol árboles m, pez peces m, taza tazas f, coche coches m,
        gato gatos m, flor flores f, nube nubes f, rayo rayos m,
        llave llaves f, barco barcos m, seta setas f,
        paraguas paraguas m, corona coronas f, hoja hojas f,
        campana campanas f, gota gotas f""",
    "it": """
        cerchio cerchi m, quadrato quadrati m, triangolo triangoli m,
        stella stelle f, cuore cuori m, anello anelli m, croce croci f,
        luna lune f, freccia frecce f, esagono esagoni m,
        rombo rombi m, casa case f, albero alberi m, pesce pesci m,
        tazza tazze f, auto auto f, gatto gatti m, fiore fiori m,
        nuvola nuvole f, fulmine fulmini m, chiave chiavi f,
        barca barche f, fungo funghi m, ombrello ombrelli m,
        corona corone f, foglia foglie f, campana campane f,
        goccia gocce f""",
    "pt": """
        círculo círculos m, quadrado quadrados m, triângulo triângulos m,
        estrela estrelas f, coração corações m, anel anéis m,
        cruz cruzes f, lua luas f, seta setas f, hexágono hexágonos m,
        losango losangos m, casa casas f, árvore árvores f,
        peixe peixes m, xícara xícaras f, carro carros m, gato gatos m,
        flor flores f, nuvem nuvens f, raio raios m, chave chaves f,
        barco barcos m, cogumelo cogumelos m,
        guarda-chuva guarda-chuvas m, coroa coroas f, folha folhas f,
        sino sinos m, gota gotas f""",
}

# In the order of `COLOURS`. English has one form; German a stem (an endless
# one ends with "="); the others masculine, feminine and their plurals, where
# one form alone never changes and two are singular and plural.
_COLOURS = {
    "en": """
        red, green, blue, yellow, orange, purple, pink, brown, black, white,
        gray""",
    "de": """
        rot, grün, blau, gelb, orangefarben, violett, rosa=, braun, schwarz,
        weiß, grau""",
    "fr": """
        rouge rouges, vert verte verts vertes, bleu bleue bleus bleues,
        jaune jaunes, orange, violet violette violets violettes,
        rose roses, marron, noir noire noirs noires,
        blanc blanche blancs blanches, gris grise gris grises""",
    "es": """
        rojo roja rojos rojas, verde verdes, azul azules,
        amarillo amarilla amarillos amarillas, naranja,
        morado morada morados moradas, rosa, marrón marrones,
        negro negra negros negras, blanco blanca blancos blancas,
        gris grises""",
    "it": """
        rosso rossa rossi rosse, verde verdi, blu,
        giallo gialla gialli gialle, arancione arancioni, viola, rosa,
        marrone marroni, nero nera neri nere,
        bianco bianca bianchi bianche, grigio grigia grigi grigie""",
    "pt": """
        vermelho vermelha vermelhos vermelhas, verde verdes, azul azuis,
        amarelo amarela amarelos amarelas, laranja,
        roxo roxa roxos roxas, rosa, marrom marrons,
        preto preta pretos pretas, branco branca brancos brancas, cinza""",
}


def _rows(text):
    return tuple(
        tuple(field.replace("~", " ") for field in row.split())
        for row in text.split(",")
    )


NOUNS = {language: _rows(text) for language, text in _NOUNS.items()}
COLOUR_FORMS = {language: _rows(text) for language, text in _COLOURS.items()}
LANGUAGES = tuple(NOUNS)

AND = {"en": "and", "de": "und", "fr": "et", "es": "y", "it": "e", "pt": "e"}
# Two to nine; "masculine/feminine" where they differ.
NUMBERS = {
    "en": "two three four five six seven eight nine".split(),
    "de": "zwei drei vier fünf sechs sieben acht neun".split(),
    "fr": "deux trois quatre cinq six sept huit neuf".split(),
    "es": "dos tres cuatro cinco seis siete ocho nueve".split(),
    "it": "due tre quattro cinque sei sette otto nove".split(),
    "pt": "dois/duas três quatro cinco seis sete oito nove".split(),
}
YES_NO = {
    "en": ("yes", "no"),
    "de": ("ja", "nein"),
    "fr": ("oui", "non"),
    "es": ("sí", "no"),
    "it": ("sì", "no"),
    "pt": ("sim", "não"),
}
NONE = {
    "en": "none",
    "de": "nichts",
    "fr": "aucun",
    "es": "ninguno",
    "it": "nessuno",
    "pt": "nenhum",
}

# What stands in braces is a noun phrase, named after its form in
# `phrases.noun_phrase`; {first} and {second} tell two of them apart.
QUESTIONS = {
    "en": {
        "listing": "What objects are in the image?",
        "presence": "Is there {indefinite} in the image?",
        "presences": "Which of these are in the image: {list}?",
        "counting": "How many {counted} are in the image?",
        "colour": "What color is {definite}?",
        "left": "Is {definite} to the left of {beside}?",
        "right": "Is {definite} to the right of {beside}?",
        "above": "Is {definite} above {beside}?",
        "below": "Is {definite} below {beside}?",
    },
    "de": {
        "listing": "Welche Objekte sind im Bild?",
        "presence": "Gibt es {indefinite_object} im Bild?",
        "presences": "Was davon ist im Bild: {list}?",
        "counting": "Wie viele {counted} sind im Bild?",
        "colour": "Welche Farbe hat {definite}?",
        "left": "Ist {definite} links von {beside}?",
        "right": "Ist {definite} rechts von {beside}?",
        "above": "Ist {definite} über {beside}?",
        "below": "Ist {definite} unter {beside}?",
    },
    "fr": {
        "listing": "Quels objets y a-t-il dans l'image ?",
        "presence": "Y a-t-il {indefinite} dans l'image ?",
        "presences": "Lesquels de ces objets sont dans l'image : {list} ?",
        "counting": "Combien {counted} y a-t-il dans l'image ?",
        "colour": "De quelle couleur est {definite} ?",
        "left": "Est-ce que {definite} est à gauche {beside} ?",
        "right": "Est-ce que {definite} est à droite {beside} ?",
        "above": "Est-ce que {definite} est au-dessus {beside} ?",
        "below": "Est-ce que {definite} est en dessous {beside} ?",
    },
    "es": {
        "listing": "¿Qué objetos hay en la imagen?",
        "presence": "¿Hay {indefinite} en la imagen?",
        "presences": "¿Cuáles de estos objetos hay en la imagen: {list}?",
        "counting": "¿{counted} hay en la imagen?",
        "colour": "¿De qué color es {definite}?",
        "left": "¿Está {definite} a la izquierda {beside}?",
        "right": "¿Está {definite} a la derecha {beside}?",
        "above": "¿Está {definite} por encima {beside}?",
        "below": "¿Está {definite} por debajo {beside}?",
    },
    "it": {
        "listing": "Quali oggetti ci sono nell'immagine?",
        "presence": "C'è {indefinite} nell'immagine?",
        "presences": "Quali di questi oggetti ci sono nell'immagine: {list}?",
        "counting": "{counted} ci sono nell'immagine?",
        "colour": "Di che colore è {definite}?",
        "left": "È vero che {definite} è a sinistra {beside}?",
        "right": "È vero che {definite} è a destra {beside}?",
        "above": "È vero che {definite} è più in alto {beside}?",
        "below": "È vero che {definite} è più in basso {beside}?",
    },
    "pt": {
        "listing": "Que objetos há na imagem?",
        "presence": "Há {indefinite} na imagem?",
        "presences": "Quais destes objetos há na imagem: {list}?",
        "counting": "{counted} há na imagem?",
        "colour": "De que cor é {definite}?",
        "left": "É verdade que {definite} está à esquerda {beside}?",
        "right": "É verdade que {definite} está à direita {beside}?",
        "above": "É verdade que {definite} está acima {beside}?",
        "below": "É verdade que {definite} está abaixo {beside}?",
    },
}
QUESTION_KINDS = tuple(QUESTIONS["en"])
