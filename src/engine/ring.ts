/** A ring of things that carry their own links: to join it and to leave it takes no memory, and always the same time. */

/** A link of a ring. Alone, it is linked to itself. */
export class Link {
  declare previous: Link;
  declare next: Link;

  // Not where they are declared: V8 has no fast way to define a field for many kinds of heirs, and takes a microsecond for two.
  constructor() {
    this.previous = this;
    this.next = this;
  }

  /** Puts `link`, which is alone, before this one: for the one that a ring begins with, at the end. */
  append(link: Link): void {
    link.previous = this.previous;
    link.next = this;
    this.previous.next = link;
    this.previous = link;
  }

  /** Stands where `link` has stood, which is alone then, as this one was. */
  replace(link: Link): void {
    link.append(this);
    link.unlink();
  }

  unlink(): void {
    this.previous.next = this.next;
    this.next.previous = this.previous;
    this.previous = this;
    this.next = this;
  }
}
