// The credential of who has signed in, a token or a key: kept for this tab only, and gone with it.

const NAME = "forecast-platform credential";

export const credential = () => sessionStorage.getItem(NAME);
export const keep = (text) => sessionStorage.setItem(NAME, text);
export const forget = () => sessionStorage.removeItem(NAME);
